package option

import (
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// wordPattern fits names of options and kinds, and no secret that is worth the name.
var wordPattern = regexp.MustCompile(`^[a-z][a-z_-]{0,30}$`)

// MayBeShown reports whether a text may be repeated in the message that it is none of the
// words that can stand there: a secret in a wrong place may not.
func MayBeShown(text string) bool { return wordPattern.MatchString(strings.ToLower(text)) }

// Unknown is the error for an option that a block does not have; options are
// those that it has.
func Unknown(d *caddyfile.Dispenser, block string, options ...string) error {
	given := d.Val()
	slices.Sort(options)
	list := strings.Join(options, ", ")
	if !MayBeShown(given) {
		return d.Errf("%s: this is no option; the options are: %s", block, list)
	}
	if nearest := nearestOf(strings.ToLower(given), options); nearest != "" {
		return d.Errf("%s: unrecognized option %q, did you mean %q? The options are: %s", block, given, nearest, list)
	}
	return d.Errf("%s: unrecognized option %q; the options are: %s", block, given, list)
}

// nearestOf returns the option that given is most likely a misspelling of;
// empty if none is near.
func nearestOf(given string, options []string) string {
	best, nearest := max(2, len(given)/3)+1, ""
	for _, option := range options {
		if distance := editDistance(given, option); distance < best {
			best, nearest = distance, option
		}
	}
	return nearest
}

// editDistance is how many letters must be inserted, removed or replaced to
// make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
