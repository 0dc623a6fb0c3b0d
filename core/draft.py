"""A state being written: the mutable twin of `core.state.State`, private to one call of `fold`.

Dictionaries are shared with the state it came from until `own` copies the one that is about to change. It knows no
fact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.state import State


class Draft:
    def __init__(self, state: State) -> None:
        self.__dict__.update({name: getattr(state, name) for name in State.__struct_fields__})
        self.owned: set[str] = set()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: object) -> None: ...

    def own(self, name: str) -> dict[Any, Any]:
        if name not in self.owned:
            self.__dict__[name] = self.__dict__[name].copy()
            self.owned.add(name)
        mine: dict[Any, Any] = self.__dict__[name]
        return mine

    def freeze(self) -> State:
        fields = self.__dict__.copy()
        del fields["owned"]
        return State(**fields)
