"""Which integer dot-product instructions the processor that Numba compiles for has; changes with instruction sets."""

from functools import cache

from numba.core.registry import cpu_target


@cache
def features() -> frozenset[str]:
    """LLVM's names of what may be used, ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` obeyed."""
    listed: str = cpu_target.target_context.codegen().magic_tuple()[2]
    return frozenset(name[1:] for name in listed.split(",") if name.startswith("+"))


def multiplies_bytes() -> bool:
    """Whether four products of bytes are added to 32 bits by one instruction (AVX512-VNNI, AVX-VNNI)."""
    return not {"avx512vnni", "avxvnni"}.isdisjoint(features())


def multiplies_pairs() -> bool:
    """Whether two products of 16 bits are (AVX2)."""
    return "avx2" in features()


def has_wide_integers() -> bool:
    """Whether registers of 512 bits take integers of 8 and 16 bits."""
    return "avx512bw" in features()
