"""Models × systems, timed side by side in one run: ``python -m benchmarks``.

`models` names the models, `systems` the programs that fit them; what is added there is run.
A `worker` process fits one model with one system; `run` times the workers in turns;
`targets` and `report` say what came out.
"""
