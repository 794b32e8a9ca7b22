package memory

import (
	"math"
	"time"
)

// Times are kept in fewer bits than time.Time has. What does not fit is kept as the
// last time that does: a time that wrapped around would be one in the past.

// nanoseconds is a time in Unix nanoseconds, which reach to the year 2262.
func nanoseconds(t time.Time) int64 {
	switch {
	case t.Unix() >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	case t.Unix() <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	}
	return t.UnixNano()
}

// seconds is a number of seconds; as Unix time it reaches to the year 2106.
func seconds(n int64) uint32 {
	return uint32(min(max(n, 0), math.MaxUint32))
}

// deadline is when a session ends by the monotonic clock, in seconds since the
// store began; a fraction counts as a whole one.
func (s *Store) deadline(ends, now time.Time) uint32 {
	const longest = 200 * 365 * 24 * time.Hour // so that the sum fits; more seconds than 32 bits hold
	return seconds(int64((min(ends.Sub(now), longest) + now.Sub(s.started) + time.Second - 1) / time.Second))
}

// denied reports whether an operator keeps the user out.
func (u *user) denied(now time.Time) bool { return u.deniedUntil > now.Unix() }

// untilSecond is a time in Unix seconds; a fraction counts as a whole one, so that no
// denial ends early.
func untilSecond(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}
