"""The model with its compliance officer, who alone opens and closes matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.doubles.s3_model import DISABLED, USERS, Model, Refused

if TYPE_CHECKING:
    from tests.doubles.matters_model import Matter


class WholeModel(Model):
    """Object Lock and matters."""

    def _officer(self, user: str) -> None:
        if user == DISABLED:
            raise Refused("principal")
        if USERS[user] != "compliance":
            raise Refused("policy")

    def open_matter(self, user: str, matter: Matter) -> None:
        self._officer(user)
        if self.matters.find(matter.id) is not None:
            raise Refused("exists")
        if matter.bucket is not None:
            self._bucket(matter.bucket)
        self.matters.all.append(matter)

    def close_matter(self, user: str, matter_id: str) -> None:
        self._officer(user)
        found = self.matters.find(matter_id)
        if found is None or not found.open:
            raise Refused("no_such_matter" if found is None else "closed")
        found.open = False
