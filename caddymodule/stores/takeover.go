package stores

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/caddyserver/certmagic"
)

// memoryTurn counts how often another store has begun in this process. What memory
// held before that is out of date, also if a configuration that used it has not
// ended yet: the next one begins with an empty store.
var memoryTurn atomic.Uint64

func memoryKey() string { return memoryKeyOf(memoryTurn.Load()) }

func memoryKeyOf(turn uint64) string { return fmt.Sprint("memory ", turn) }

// takeover is how another store has made what memory held out of date.
type takeover struct {
	done   bool
	turn   uint64 // of the memory before
	before pooledMemory
	owned  bool // storage was that memory's
	by     owner
}

// takeOver makes what memory held, here and in storage, not count any more.
func takeOver(ctx context.Context, storage certmagic.Storage) (t takeover, err error) {
	t = takeover{done: true, turn: memoryTurn.Load(), by: newOwner()}
	key := memoryKeyOf(t.turn)
	opened.Range(func(other, value any) bool {
		if other == key {
			t.before = value.(pooledMemory)
		}
		return true
	})
	t.owned = t.before.Store != nil && t.before.stillOwns(ctx, storage) == nil
	memoryTurn.Add(1)
	_, err = t.by.takeOwnership(ctx, storage)
	return t, err
}

// undo is called when the configuration ends that has taken over. Caddy ends the one
// before as soon as the next has started. So if that one still has its memory, it goes on
// because this one could not start, and its memory counts as before.
func (t *takeover) undo(ctx context.Context, storage certmagic.Storage) error {
	if !t.done || t.before.Store == nil {
		return nil
	}
	if _, inUse := opened.References(memoryKeyOf(t.turn)); !inUse || !memoryTurn.CompareAndSwap(t.turn+1, t.turn) {
		return nil
	}
	if !t.owned {
		return nil
	}
	err := t.by.stillOwns(ctx, storage)
	if err == nil {
		_, err = t.before.takeOwnership(ctx, storage)
	}
	if errors.Is(err, errOutOfDate) { // another process has begun
		return nil
	}
	return err
}
