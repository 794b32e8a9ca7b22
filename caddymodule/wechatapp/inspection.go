package wechatapp

import (
	"context"
)

// Inspection is put into the context that a configuration is loaded with to have the
// app loaded only to be examined: it starts nothing and takes nothing out of storage.
// It remembers how far loading came.
type Inspection struct {
	// App is as far as it came; nil if there is none.
	App *App
	// Err is why App does not load. It may be a [KeysError] or a [StoreError].
	Err error
}

// KeysError is about the keys that sign tokens.
type KeysError struct{ Err error }

func (e *KeysError) Error() string { return e.Err.Error() }
func (e *KeysError) Unwrap() error { return e.Err }

// StoreError is about the session store.
type StoreError struct{ Err error }

func (e *StoreError) Error() string { return e.Err.Error() }
func (e *StoreError) Unwrap() error { return e.Err }

type inspectionKey struct{}

// Context returns a context to load a configuration with.
func (i *Inspection) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, inspectionKey{}, i)
}

// inspectionOf returns nil for a configuration that is loaded to be used.
func inspectionOf(ctx context.Context) *Inspection {
	i, _ := ctx.Value(inspectionKey{}).(*Inspection)
	return i
}

func (i *Inspection) provisioned(a *App, err error) {
	if i != nil {
		i.App, i.Err = a, err
	}
}
