"""Carries a plan out: durable intents, one lane a person, one layer of retry, read-back."""

from idsync.apply.carry_out import Done, Work, carry_out
from idsync.apply.settle import not_sent_again, settle_unknown

__all__ = ["Done", "Work", "carry_out", "not_sent_again", "settle_unknown"]
