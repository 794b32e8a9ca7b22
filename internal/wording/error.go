package wording

// Error is an error for whoever typed a command, who reads it in his language.
type Error struct{ Text }

// Errorf makes an [Error]. It wraps the error among its args, if there is one.
func Errorf(format string, args ...any) error { return &Error{Textf(format, args...)} }

// Error is the text in English.
func (e *Error) Error() string { return e.String() }

// Unwrap returns the error among the args, if there is one.
func (e *Error) Unwrap() error {
	for _, arg := range e.args {
		if err, ok := arg.(error); ok {
			return err
		}
	}
	return nil
}

// ErrorIn shows an error in a language: all of it, if it is an [Error].
func ErrorIn(err error, l Language) string {
	if e, ok := err.(*Error); ok { //nolint:errorlint // one inside would be only a part
		return e.In(l)
	}
	return err.Error()
}
