"""The client layer's errors are ours, so that one handler sees them all."""

from __future__ import annotations

import pytest

from moldau.client.errors import NotFound, Unreachable
from moldau.core.base.errors import MoldauError


@pytest.mark.parametrize("kind", [NotFound, Unreachable])
def test_they_are_moldau_errors_with_their_text(kind: type[MoldauError]) -> None:
    with pytest.raises(MoldauError, match="which one"):
        raise kind("which one")
