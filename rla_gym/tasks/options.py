"""Options of tasks as JSON values, so that data sets and checkpoints can name them and make the same task again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from importlib import import_module
from typing import Any

import numpy as np


def recordable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `options` as JSON values: functions become "module:function", tuples lists; None is left out.

    Raises:
        ValueError: a value that has no such form, or a function that no other process could import.
    """
    return {name: _as_json(name, value) for name, value in options.items() if value is not None}


def _as_json(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_as_json(name, item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _as_json(name, item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return _as_json(name, asdict(value))
    if callable(value):
        return function_name(value, name)
    raise ValueError(
        f"the task's option {name}={value!r} cannot be recorded in a data set: expected numbers, texts, lists, or a "
        "function of a module"
    )


def function_name(function: Callable[..., Any], option: str = "success") -> str:
    """Return "module:function" of a function that another process can import.

    Raises:
        ValueError: a lambda, a local function, one of the script that runs, or one that its module does not have.
    """
    module, qualified = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    reason = None
    if not module or not qualified or "<" in qualified:
        reason = "it is a lambda, a local function or an object without a name"
    elif module in ("__main__", "__mp_main__"):
        reason = "it is of the script that runs, which no other program can import"
    else:
        try:
            if _attribute(import_module(module), qualified) is not function:
                reason = f"{module}.{qualified} is another object"
        except (ImportError, AttributeError) as error:
            reason = str(error)
    if reason:
        raise ValueError(
            f"the function {option}={qualified or function!r} cannot be named, so neither worker processes nor the "
            f"RLAReal-v0 of a checkpoint could use it: {reason}. Define it at the top level of a module that can be "
            f'imported and pass it, or its name: {option}="my_module:my_function"'
        )
    return f"{module}:{qualified}"


def load_function(name: str, option: str = "success") -> Callable[..., Any]:
    """Return the function that "module:function" names; the module is imported.

    Raises:
        ValueError: it is no such name, or the module does not have it.
        ImportError: the module cannot be imported.
    """
    module, _, qualified = name.partition(":")
    if not module or not qualified:
        raise ValueError(f'{option}={name!r}: expected "module:function", such as "my_module:my_function"')
    try:
        function = _attribute(load_module(module), qualified)
    except AttributeError as error:
        raise ValueError(f"{option}={name!r}: {error}") from error
    if not callable(function):
        raise ValueError(f"{option}={name!r} is a {type(function).__name__}, expected a function")
    return function


def success_rule(rule: Callable[[Any], bool] | str | None) -> Callable[[Any], bool] | None:
    """The function that a task's option `success` gives: itself, or the one that "module:function" names.

    Raises:
        ValueError: neither a function nor the name of one.
        ImportError: its module cannot be imported.
    """
    if rule is None or callable(rule):
        return rule
    if not isinstance(rule, str):
        raise ValueError(f'success={rule!r}: expected a function of the environment, or "module:function"')
    return load_function(rule)


def load_module(name: str) -> Any:
    """Import a user's module.

    Raises:
        ImportError: there is none, and the text says where Python looks; errors inside of the module are passed on.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, and lacks one of its own
        raise ImportError(
            f"no module {name!r} can be imported: install it, or put its folder into PYTHONPATH (the command line also "
            "looks in the present folder)"
        ) from error


def _attribute(module: Any, qualified: str) -> Any:
    found = module
    for part in qualified.split("."):
        found = getattr(found, part)
    return found
