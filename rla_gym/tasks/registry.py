"""The registry of tasks: built-in ones, those of installed packages (entry points), and a user's own."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from rla_gym.tasks.options import load_module
from rla_gym.tasks.task import Task

ENTRY_POINTS = "rla_gym.tasks"
"""Group of entry points by which an installed package brings tasks: `name = "module:factory"`."""
_ALIASES = {"Lift": "robosuite:Lift", "Reacher-v5": "gymnasium:Reacher-v5"}
_SCRIPTS = ("__main__", "__mp_main__")


@dataclass(frozen=True)
class TaskEntry:
    """A registered task.

    Attributes:
        name: that it is registered under.
        factory: makes it, with options as keywords; "module:attribute" is imported when a task is made.
        module: whose import registers it, "" for the script that runs, None for built-in tasks and entry points.
        variants: whether "name@variant" passes `variant`.
        family: whether it stands for many, "name:environment", and takes the environment first.
    """

    name: str
    factory: Callable[..., Task] | str
    module: str | None = None
    variants: bool = False
    family: bool = False

    def load(self) -> Callable[..., Task]:
        """The factory."""
        if not isinstance(self.factory, str):
            return self.factory
        module, _, attribute = self.factory.partition(":")
        factory: Callable[..., Task] = getattr(import_module(module), attribute)
        return factory


_ENTRIES: dict[str, TaskEntry] = {}


def register_task(name: str, factory: Callable[..., Task] | str) -> None:
    """Let :func:`make_task` make the task `name` by `factory`, a function or class that returns a :class:`Task`.

    Call it when your module is imported. Then `make_task("my_module:name")`, `rla-gym collect --task my_module:name`
    and the `RLAReal-v0` of a checkpoint trained on it import the module first, in worker processes too. The task's
    `spec.name` becomes that name. A package may instead declare an entry point of the group "rla_gym.tasks".

    Args:
        name: of letters, digits, "-", "_" and ".".
        factory: takes the options of `make_task` as keywords; or "module:attribute", imported when a task is made.

    Raises:
        ValueError: the name cannot be one, or is another's.
    """
    module = sys._getframe(1).f_globals.get("__name__")
    _register(TaskEntry(name, factory, "" if module in _SCRIPTS else module))


def register_builtin(name: str, factory: str, variants: bool = False, family: bool = False) -> None:
    """Register a task or family of this package; see :class:`TaskEntry`."""
    _register(TaskEntry(name, factory, None, variants, family))


def _register(entry: TaskEntry) -> None:
    name = entry.name
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise ValueError(f"a task cannot be called {name!r}: expected letters, digits, '-', '_' and '.'")
    if not callable(entry.factory) and not (isinstance(entry.factory, str) and ":" in entry.factory):
        raise ValueError(f'the factory of {name!r} is {entry.factory!r}, expected a function or "module:attribute"')
    present = _ENTRIES.get(name)
    # A module that is imported again, or a notebook's cell, registers the same task again.
    if name in _ALIASES or (present is not None and (present.module is None or present.module != entry.module)):
        of = f"module {present.module}" if present is not None and present.module else "rla_gym"
        raise ValueError(f"there is a task {name!r} already, of {of}: choose another name")
    _ENTRIES[name] = entry


def task_names() -> tuple[str, ...]:
    """Names that :func:`make_task` takes; `<name>` stands for any environment of that library or module.

    Tabletop tasks take a variant behind an `@` as well, such as `"push-cube@unseen"`.
    """
    single = [name for name, entry in _ENTRIES.items() if not entry.family and not entry.module]
    imported = [f"{entry.module}:{name}" for name, entry in _ENTRIES.items() if entry.module]
    families = [f"{name}:<name>" for name, entry in _ENTRIES.items() if entry.family]
    return (*single, *_ALIASES, *_declared(), *imported, *families, "<module>:<name>")


def canonical_name(name: str) -> str:
    """The name by which any process can make the task `name`, with its module.

    Raises:
        ValueError: no task has that name.
        ImportError: its module cannot be imported.
    """
    return _resolve(name)[2]


def make_task(name: str, **options: Any) -> Task:
    """Make the task called `name`.

    Args:
        name: `"push-cube"`, `"push-t"`, `"roll-ball"`, `"poke-cube"`, `"pull-cube"`, each also with other tools and
            blocks (`"push-cube@train"`, `"@unseen"`, `"@unseen-colours"`), `"Lift"`, `"Reacher-v5"`,
            `"robosuite:<environment>"`, `"gymnasium:<MuJoCo environment id>"`; `"my_module:<name>"` imports a module
            that registers a task (:func:`register_task`) or a Gymnasium id; or a name that is registered already.
        options: of the task, such as `frame_size`, `camera`, `max_steps`, `robot` or `success`; None is as if not
            given. They are recorded in `spec.options`, so that `make_task(spec.name, **spec.options)` makes the same.

    Raises:
        ValueError: no task, or no variant of it, has that name (the message lists those that exist), or it does not
            have such an option.
        ImportError: the module in the name, or a library that the task needs, cannot be imported.
    """
    given = {key: value for key, value in options.items() if value is not None}
    entry, environment, canonical = _resolve(name)
    _, _, variant = canonical.partition("@") if entry.variants else ("", "", "")
    factory = entry.load()
    defaults = _check_options(canonical, factory, given, entry.family)
    # What is the default anyhow is no choice: data that names it fits data that does not.
    given = {key: value for key, value in given.items() if key not in defaults or defaults[key] != value}
    if variant and given.setdefault("variant", variant) != variant:
        raise ValueError(f"task {name!r} with variant={given['variant']!r}: give one of the two")
    task = factory(environment, **given) if entry.family else factory(**given)
    if not isinstance(task, Task):
        raise ValueError(
            f"the factory of task {canonical!r} returned a {type(task).__name__}, expected a rla_gym.tasks.Task"
        )
    if entry.variants:
        canonical, given = task.spec.name, {key: value for key, value in given.items() if key != "variant"}
    task.spec = replace(task.spec, name=task.spec.name if entry.family else canonical, options=given)
    return task


def _resolve(name: str) -> tuple[TaskEntry, str, str]:
    """Entry, environment of a family, and canonical name."""
    resolved = _ALIASES.get(name, name)
    stem, at, variant = resolved.partition("@")
    entry = _ENTRIES.get(stem)
    if entry is not None and not entry.family and (not at or (entry.variants and variant)):
        return entry, "", f"{entry.module}:{resolved}" if entry.module else resolved
    prefix, _, rest = resolved.partition(":")
    entry = _ENTRIES.get(prefix)
    if entry is not None and entry.family and rest:
        return entry, rest, resolved
    if resolved in _declared():
        point = _declared()[resolved]
        return TaskEntry(resolved, point.value), "", resolved
    if rest and all(part.isidentifier() for part in prefix.split(".")):
        return _of_module(prefix, rest, name)
    raise _unknown(name)


def _of_module(module: str, rest: str, name: str) -> tuple[TaskEntry, str, str]:
    """What importing `module` registers as `rest`: a task, or a Gymnasium environment."""
    try:
        load_module(module)
    except ImportError as error:
        if error.__cause__ is None:
            raise
        raise _unknown(name, f"{module!r} is no family of tasks, and {error}") from error
    entry = _ENTRIES.get(rest)
    if entry is not None and entry.module:
        return entry, "", f"{entry.module}:{rest}"
    if rest in _gymnasium_ids():
        return _ENTRIES["gymnasium"], f"{module}:{rest}", f"gymnasium:{module}:{rest}"
    registered = [each for each, entry in _ENTRIES.items() if entry.module == module]
    raise _unknown(
        name,
        f"module {module!r} registers neither a task (register_task) nor a Gymnasium environment {rest!r}"
        + (f"; it registers {', '.join(registered)}" if registered else ""),
    )


@cache
def _declared() -> dict[str, EntryPoint]:
    """Entry points of installed packages by name; built-in tasks come first."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS) if point.name not in _ENTRIES}


def _gymnasium_ids() -> Iterator[str]:
    import gymnasium

    return iter(gymnasium.registry)


def _unknown(name: str, why: str = "") -> ValueError:
    names = task_names()
    near = {known.lower(): known for known in (*names, *(f"gymnasium:{id}" for id in _gymnasium_ids()))}
    close = [near[match] for match in difflib.get_close_matches(name.lower(), near, n=3, cutoff=0.7)]
    close += [known for known in near.values() if name and known.lower().endswith(f":{name.lower()}")]
    hint = f" (did you mean {' or '.join(dict.fromkeys(close))}?)" if close else ""
    return ValueError(
        f"no task is called {name!r}{hint}{': ' + why if why else ''}; known tasks: {', '.join(names)}"
    )


def _check_options(name: str, factory: Callable[..., Task], options: dict[str, Any], family: bool) -> dict[str, Any]:
    """Defaults of the options that the factory takes; a ValueError for one of `options` that it does not take."""
    try:
        parameters = list(inspect.signature(factory).parameters.values())[int(family) :]
    except ValueError:  # some objects of other languages have no signature
        return {}
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return defaults
    known = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ValueError(
            f"task {name!r} has no option {', '.join(map(repr, unknown))}; it has {', '.join(known) or 'none'}"
        )
    return defaults
