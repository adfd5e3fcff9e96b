"""A suite as a user writes it who checks it with `mypy --strict`; tests/plugin/test_typing.py checks and runs it."""
