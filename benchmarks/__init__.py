"""Models × systems, timed side by side in one run: ``python -m benchmarks``.

`models` names the models and `systems` the programs that fit them; add to either and the run has it.
A `worker` process fits one model with one system; `run` times the workers in turns;
`targets` and `report` say what came out.
"""
