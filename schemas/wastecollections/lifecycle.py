"""The life of one collection, from its day to the crew's word."""

from schemas.shared.lifecycle import Lifecycle
from schemas.wastecollections.v1 import Completed, NotCompleted, ReportedMissed, Rescheduled, Scheduled

LIFECYCLE = Lifecycle(
    starts=(Scheduled,),
    joins=(Completed, NotCompleted, Rescheduled, ReportedMissed),
    asides=(ReportedMissed,),
    follows={
        Scheduled: (Completed, NotCompleted, Rescheduled, Scheduled),
        Rescheduled: (Completed, NotCompleted, Rescheduled, Scheduled),
        # crews go back for what was left, and correct what they recorded
        NotCompleted: (Completed, Rescheduled, NotCompleted),
        Completed: (NotCompleted, Rescheduled, Completed),
    },
    ends=(Completed, NotCompleted),
    state_field="state",
    transitions={
        "scheduled": ("completed", "not_completed", "rescheduled", "scheduled"),
        "rescheduled": ("completed", "not_completed", "rescheduled", "scheduled"),
        "not_completed": ("completed", "rescheduled", "not_completed"),
        "completed": ("not_completed", "rescheduled", "completed"),
    },
    end_states=("completed", "not_completed"),
)
