"""What memoized functions, and what makes them, are to a type checker."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from fastmmap.types import CacheInfo, Key

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)
_Self_contra = TypeVar("_Self_contra", contravariant=True)


class Memoized(Protocol[_P, _R_co]):
    """A function whose results are kept: what ``FastMmap.memoize`` makes.

    It has the signature and the attributes of the function, and
    ``__wrapped__``, which is the function itself.
    """

    @property
    def __wrapped__(self) -> Callable[_P, _R_co]:
        """The function that computes."""

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co:
        """Return the result, computed now or before."""

    @property
    def cache_key(self) -> Callable[_P, Key]:
        """Return the key under which the result of such a call is kept."""

    @property
    def invalidate(self) -> Callable[_P, bool]:
        """Forget the result of such a call; tell whether there was one.

        One that is being computed is not stored any more.
        """

    def cache_info(self) -> CacheInfo:
        """Return how many calls of this process computed, and how many did not."""

    def cache_clear(self) -> None:
        """Forget all results of the function, in all processes, however many."""

    def cache_parameters(self) -> dict[str, Any]:
        """Return the options that it was made with, and the name of its results."""

    @overload
    def __get__(
        self, instance: None, owner: Any = None, /
    ) -> "Memoized[_P, _R_co]": ...
    @overload
    def __get__(
        self: "Memoized[Concatenate[_Self_contra, _Q], _R]",
        instance: _Self_contra,
        owner: Any = None,
        /,
    ) -> Callable[_Q, _R]: ...


class Decorator(Protocol):
    """Makes functions memoized ones."""

    def __call__(self, func: Callable[_P, _R], /) -> Memoized[_P, _R]:
        """Return the memoized function."""
