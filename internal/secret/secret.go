// Package secret keeps secrets out of logs, errors and configuration dumps: a
// [String] prints as [redacted] whichever way it is printed.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// String is a text that only Reveal shows. The zero value is empty.
type String struct{ value string }

// New returns value as a secret.
func New(value string) String { return String{value} }

// Reveal returns the text. Call it only where the text is used.
func (s String) Reveal() string { return s.value }

// IsZero reports whether the secret is empty.
func (s String) IsZero() bool { return s.value == "" }

// String hides the text.
func (String) String() string { return redacted }

// GoString hides the text from %#v.
func (String) GoString() string { return redacted }

// Format hides the text from every verb of fmt.
func (String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText hides the text from encoders.
func (String) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the text from log/slog.
func (String) LogValue() slog.Value { return slog.StringValue(redacted) }
