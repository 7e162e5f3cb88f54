"""Carries a plan out: durable intents, one lane a person, one layer of retry, read-back."""

from idsync.apply.carry_out import PATIENCE, Done, Work, carry_out
from idsync.apply.ending import ASKED
from idsync.apply.settle import not_sent_again, settle_unknown

__all__ = ["ASKED", "PATIENCE", "Done", "Work", "carry_out", "not_sent_again", "settle_unknown"]
