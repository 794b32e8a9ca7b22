package urlpath

import (
	"errors"
	"fmt"
	"strings"
)

// ErrPattern is returned for a path pattern that could match more, or less,
// than its author sees in it.
var ErrPattern = errors.New("not a usable path pattern")

// Pattern matches whole canonical paths: one path exactly, or with "/*" at its
// end every path below it. Matching is case-sensitive and never ends inside a
// segment.
type Pattern struct {
	path    string
	subtree bool // path ends with a slash; everything below it matches
}

// ParsePattern reads a pattern as written in a configuration. It returns
// [ErrPattern] with the reason unless the pattern is canonical, begins with a
// slash and has its only asterisk, if any, as the last segment.
func ParsePattern(text string) (Pattern, error) {
	path, subtree := strings.CutSuffix(text, "/*")
	if subtree {
		path += "/"
	}
	switch {
	case !strings.HasPrefix(text, "/"):
		return Pattern{}, fmt.Errorf("%q: %w: it must begin with /", text, ErrPattern)
	case strings.Contains(path, "*"):
		return Pattern{}, fmt.Errorf("%q: %w: * can only be the whole last segment, as in /static/*; use a block of matchers for more", text, ErrPattern)
	case !Canonical(path):
		return Pattern{}, fmt.Errorf("%q: %w: only canonical paths are ever matched (no //, dot segments, ; \\ or needless %% escapes)", text, ErrPattern)
	}
	return Pattern{path: path, subtree: subtree}, nil
}

// Match reports whether the pattern covers the raw path, which the caller has
// found to be [Canonical].
func (p Pattern) Match(raw string) bool {
	if p.subtree {
		return strings.HasPrefix(raw, p.path)
	}
	return raw == p.path
}

// Covers reports whether the pattern matches the path or anything below it in
// the most forgiving reading of both.
func (p Pattern) Covers(path string) bool {
	own, other := Fold(p.path), Fold(path)
	if own == other {
		return true
	}
	return p.subtree && (own == "/" || isBelow(other, own))
}

// String returns the pattern as it was written.
func (p Pattern) String() string {
	if p.subtree {
		return p.path + "*"
	}
	return p.path
}
