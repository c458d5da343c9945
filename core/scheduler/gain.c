#include "core/scheduler/gain.h"

enum {
    PERIOD_NEW = 16,     /* turns, of which one is run alone */
    PERIOD_PROVED = 128, /* the same, once the team has proved itself */
    PAIRS = 16,
    WINS = 11,           /* of the pairs: by chance one time in ten */
    REST_MIN_US = 1000 * 1000,
    REST_MAX_US = 32 * 1000 * 1000
};

bool gain_wants_alone(const struct gain *gain)
{
    return gain->_turns + 1 >= (gain->_has_proved ? (unsigned)PERIOD_PROVED : (unsigned)PERIOD_NEW);
}

static bool are_alike(const struct gain_turn *a, const struct gain_turn *b)
{
    return a->serial == b->serial && a->sequences == b->sequences && a->steps == b->steps;
}

/* Begin the next round of pairs; rest before it if this one was not won. */
static void judge(struct gain *gain, int64_t now_us)
{
    gain->_has_proved = gain->_wins >= WINS;
    gain->_pairs = gain->_wins = 0;
    if (gain->_has_proved) {
        gain->_rest_us = 0;
        return;
    }
    gain->_rest_us *= 2;
    if (gain->_rest_us < REST_MIN_US) gain->_rest_us = REST_MIN_US;
    if (gain->_rest_us > REST_MAX_US) gain->_rest_us = REST_MAX_US;
    gain->_until_us = now_us + gain->_rest_us;
}

void gain_note(struct gain *gain, const struct gain_turn *turn, bool alone, int64_t now_us)
{
    if (!alone) {
        gain->_shared = *turn;
        gain->_turns++;
        return;
    }
    gain->_turns = 0;
    if (!are_alike(turn, &gain->_shared)) return;
    gain->_wins += gain->_shared.us < turn->us;
    if (++gain->_pairs == PAIRS) judge(gain, now_us);
}

bool gain_is_rested(const struct gain *gain, int64_t now_us)
{
    return now_us >= gain->_until_us;
}
