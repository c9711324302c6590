"""Bodies: what a shop's program sends to the API, field by field. Strict: nothing is converted or left aside."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from portal.core import clock, money
from portal.web import words


class Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


LONGEST_MOMENT = 40
Id = Field(min_length=1, max_length=128)


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        return clock.parse(value if isinstance(value, str) and len(value) <= LONGEST_MOMENT else "")
    except clock.BadMoment as bad:
        raise ValueError(words.say(bad)) from bad


class CustomerIn(Body):
    external_id: str = Id
    email: str = Field(min_length=3, max_length=254)
    name: str = Field(default="", max_length=80)
    code: str = Field(default="", max_length=100)
    signed_up_at: datetime | None = None

    _read = field_validator("signed_up_at", mode="before")(_moment)


class CustomerRef(Body):
    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["external_id"]}, {"required": ["email"]}]})

    external_id: str | None = Field(default=None, min_length=1, max_length=128)
    email: str | None = Field(default=None, min_length=3, max_length=254)


class ConversionIn(Body):
    goal: str = Field(min_length=1, max_length=32)
    external_id: str = Id
    customer: CustomerRef
    amount_minor: int | None = Field(default=None, ge=1, le=money.LARGEST_MINOR)
    currency: str | None = Field(default=None, min_length=3, max_length=3)
    occurred_at: datetime | None = None

    _read = field_validator("occurred_at", mode="before")(_moment)


class RefundIn(Body):
    external_id: str = Id
    conversion_external_id: str = Id
    amount_minor: int | None = Field(default=None, ge=1, le=money.LARGEST_MINOR)
    reason: Literal["refund", "chargeback"] = "refund"


class ReinstatementIn(Body):
    refund_external_id: str = Id
