#include "tests/support/crew.h"

#include "tests/support/await.h"

static _Thread_local size_t own_seat;

static void *member_main(void *argument)
{
    struct crew_member *member = argument;
    own_seat = member->seat;
    team_join(member->team, member->seat, NULL);
    return NULL;
}

void crew_start(struct crew *crew, size_t n)
{
    ck_assert_uint_le(n, CREW_MAX);
    crew->n = n;
    team_open(&crew->team, n);
    for (size_t seat = 1; seat < n; seat++) {
        struct crew_member *member = &crew->members[seat];
        *member = (struct crew_member){.team = &crew->team, .seat = seat};
        ck_assert_int_eq(pthread_create(&member->thread, NULL, member_main, member), 0);
    }
}

void crew_wait(struct crew *crew)
{
    AWAIT(team_size(&crew->team) == crew->n);
}

void crew_stop(struct crew *crew)
{
    team_dismiss(&crew->team);
    for (size_t seat = 1; seat < crew->n; seat++) pthread_join(crew->members[seat].thread, NULL);
}

size_t crew_seat(void)
{
    return own_seat;
}
