"""Fits of large data, from a file to the printed summary: ``python -m benchmarks.large``.

`models` names them; `data` writes their files; a `worker` process (or ``worker.R``) makes one fit
with one program and tells the stages it reaches; `race` gives it a time limit and a memory limit;
`targets` and `report` say what came out. `growth` times our fits against rows and levels.
"""
