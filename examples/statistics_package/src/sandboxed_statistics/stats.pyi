# What type checkers know of stats, a C library. Made by anywasm from its C declarations.

import collections.abc as _abc
import typing as _t
import typing_extensions as _te

import anywasm.clib as _clib

_T = _t.TypeVar("_T")
_In: _t.TypeAlias = _abc.Sequence[_T] | _te.Buffer | _clib.Pointer | None
_InOut: _t.TypeAlias = _abc.MutableSequence[_T] | _te.Buffer | _clib.Pointer | None
_Text: _t.TypeAlias = str | _te.Buffer | _clib.Pointer | None
_Record: _t.TypeAlias = _T | _abc.Mapping[str, _t.Any] | tuple[_t.Any, ...]
_InRecord: _t.TypeAlias = _T | _abc.Mapping[str, _t.Any] | _In[_Record[_T]]

@_t.type_check_only
class _Struct:
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> _t.Any: ...
    def __iter__(self) -> _abc.Iterator[_t.Any]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@_t.type_check_only
class summary(_Struct):
    mean: float
    deviation: float
    least: float
    most: float

MOST_BINS: _t.Final = 64
samples_seen: int

def summarize(values: _In[float], count: int, /) -> summary: ...
def quantile(values: _InOut[float], count: int, share: float, /) -> float: ...
def histogram(
    values: _In[float],
    count: int,
    from_: float,
    to: float,
    bins: _InOut[int],
    bin_count: int,
    /,
) -> int: ...
def describe(of: _InRecord[summary], unit: _Text, /) -> str | None: ...

from anywasm.clib import Library as _Library  # noqa: E402

library: _Library
