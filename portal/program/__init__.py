"""THE STORY: invite, follow, sign up, confirm, claim, convert, refund, decide, release, pay. Start reading here.

Each verb does one thing that happens to the program; the chapters stand in the order of a friend's life. Verbs take
the moment (`at=`) and the actor (`by=`), work inside the write that the edge has opened, and never commit. What they
promise: nothing is credited twice, nothing is lost, and every credit can say why it is what it is.
"""

from portal.program.opening import (
    add_goal,
    add_owner,
    change_program,
    currency_is_fixed,
    holds_sample_data,
    mark_as_sample,
    open_program,
    weigh_signal,
)
from portal.program.sharing import (
    change_link,
    decline_invite,
    destinations,
    follow,
    foresee,
    hashed_address,
    invite,
    make_link,
    not_this_person,
    withdraw_invite,
)
from portal.program.joining import (
    answer_claim,
    claim,
    confirm,
    expire_due,
    forgot_password,
    mail_again,
    report_customer,
    set_password,
    sign_up,
)
from portal.program.referrers import correct_referrer, give_referrer
from portal.program.orders import Reported, convert, record_order
from portal.program.refunds import Refunded, Reinstated, record_refund, record_reinstatement, refund, reinstate
from portal.program.decisions import (
    AT_ONCE,
    Decided,
    answer_appeal,
    appeal,
    approve,
    approve_by_terms,
    approve_many,
    approve_shown,
    dismiss,
    hold,
    hold_many,
    note,
    raise_again,
    reject,
    reject_many,
    undo,
    undo_at_once,
)
from portal.program.mails import (
    KeptBack,
    came_back,
    choose_mails,
    delete_address,
    purge_invites,
    remind_invite,
    remind_invited,
    restore_mail,
    send_again,
    stop,
    stopped,
    try_mail,
    unwanted,
    write_digests,
    write_mail,
)
from portal.program.summaries import write_summaries
from portal.program.paying import (
    add_vouchers,
    approve_batch,
    cancel_batch,
    choose_method,
    correct_balance,
    draw_batch,
    export_batch,
    fail,
    pay,
    pay_batch,
    release_due,
    remind,
    reminded,
    take_results,
)
from portal.program.webhooks import (
    add_webhook,
    change_webhook,
    note_webhook,
    remove_webhook,
    renew_webhook,
    send_given_up_again,
    send_webhook_again,
    switch_webhook_on,
    try_webhook,
)
from portal.program.accounts import (
    AddressRefused,
    add_passkey,
    address_of,
    ask_to_move,
    begin_two_step,
    change_password,
    move,
    move_back,
    remove_passkey,
    renew_recovery_codes,
    sign_out_one,
    sign_out_others,
    stay,
    turn_two_step_off,
    turn_two_step_on,
)
from portal.program.erasure import ErasureRefused, GivenUp, erase, given_up
from portal.program.people import (
    PersonRefused,
    RoleRefused,
    choose_code,
    choose_language,
    choose_zone,
    free_tier,
    grant_role,
    invite_colleague,
    join,
    let_in,
    mail_reset,
    note_download,
    readmit,
    rename,
    set_tier,
    shut_out,
    suspend,
    take_second_step_away,
    withdraw_role,
)
