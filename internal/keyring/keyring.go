package keyring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
)

// Storage is where the keys live; nodes that share it share the keys. Load
// returns an error matching [fs.ErrNotExist] for a key that is not there. Store
// replaces a value as a whole or not at all.
type Storage interface {
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
	Load(ctx context.Context, key string) ([]byte, error)
	Store(ctx context.Context, key string, value []byte) error
}

const (
	// StorageKey is where in the storage the keys of tokens are.
	StorageKey = "wechat/keys.json"
	// AssertionKey is where those of assertions are.
	AssertionKey = "wechat/assertion_keys.json"
	// RefreshInterval is how often a node should call Refresh, and how often it
	// therefore learns of changes that other nodes made.
	RefreshInterval = time.Minute
	// announce is how long a new key is known before it signs: several
	// RefreshIntervals.
	announce = 10 * time.Minute
)

// Settings say where keys are and how they change.
type Settings struct {
	// StorageKey is where in the storage the keys are. Default: StorageKey
	StorageKey string
	// Rotation is the age at which a key stops signing. Zero: never.
	Rotation time.Duration
	// TokenLifetime is the longest lifetime of a token: keys verify that much
	// longer than they sign. See also Ring.SetTokenLifetime.
	TokenLifetime time.Duration
}

// Errors of Drop.
var (
	// ErrUnknownKey: there is no such key.
	ErrUnknownKey = errors.New("no such signing key")
	// ErrOnlyKey: without the key there would be none, and none can be made.
	ErrOnlyKey = errors.New("the only signing key")
)

// Ring is the keys of the moment. It is safe for concurrent use.
type Ring struct {
	storage  Storage
	settings Settings
	lifetime atomic.Int64 // Settings.TokenLifetime, as it is now
	current  atomic.Pointer[key.Set]
	storeKey key.Key
	prepared *file // until Begin, if there was none in storage

	mu       sync.Mutex
	reads    uint64    // of the storage that have begun, and changes that were made
	inUse    uint64    // the read or change whose file is in use
	fileID   string    // of the key of data at rest in that file
	keys     []key.Key // the signer first, dropped ones included
	made     map[string]time.Time
	excluded []string
	// userHashKey outlives the signing keys.
	userHashKey []byte
}

// userHashUse is what the key of user hashes is derived for.
const userHashUse = "user hash"

// Open reads the keys, or makes them if there are none. Nodes that open one
// storage at the same time end up with the same keys. The error matches
// [ErrDamaged] if there are keys that cannot be read.
func Open(ctx context.Context, storage Storage, settings Settings) (*Ring, error) {
	r := newRing(storage, settings)
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Prepare reads the keys and writes nothing: if there are none, those that it makes
// are in storage only after Begin, and no key is replaced before. A configuration
// that is only examined never begins.
func Prepare(ctx context.Context, storage Storage, settings Settings) (*Ring, error) {
	r := newRing(storage, settings)
	read := r.nextRead()
	f, err := r.load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = newFile(time.Now()), nil
		r.prepared = &f
	}
	if err != nil {
		return nil, r.named(err)
	}
	if err := r.take(f, time.Now(), read); err != nil {
		return nil, err
	}
	return r, nil
}

func newRing(storage Storage, settings Settings) *Ring {
	if settings.StorageKey == "" {
		settings.StorageKey = StorageKey
	}
	r := &Ring{storage: storage, settings: settings}
	r.SetTokenLifetime(settings.TokenLifetime)
	return r
}

// Begin stores the keys that [Prepare] has made, and follows the storage. It returns
// [ErrOthersKeys] if another node has stored other ones meanwhile, under which what
// was encrypted with the key of data at rest cannot be read.
func (r *Ring) Begin(ctx context.Context) error {
	err := r.Refresh(ctx)
	r.prepared = nil
	if err == nil && r.storage != nil && r.othersKeys() {
		return r.named(ErrOthersKeys)
	}
	return err
}

func (r *Ring) othersKeys() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fileID != r.storeKey.ID()
}

// Fixed returns the keys of a configuration. They never change; the key for
// data at rest is derived from the last one, so that a new key in front keeps
// what is stored readable.
func Fixed(ring *key.Set) (*Ring, error) {
	storeKey, err := key.New(ring.Last().Derive("store"))
	if err != nil {
		return nil, fmt.Errorf("deriving store key: %w", err)
	}
	r := &Ring{storeKey: storeKey, userHashKey: storeKey.Derive(userHashUse)}
	return r, r.use(ring.Keys(), nil)
}

// SetTokenLifetime changes Settings.TokenLifetime, from the next Refresh on. A caller
// that does not know yet how long tokens live opens the keys with the longest possible
// lifetime: keys that were dropped too early do not come back.
func (r *Ring) SetTokenLifetime(lifetime time.Duration) { r.lifetime.Store(int64(lifetime)) }

func (r *Ring) tokenLifetime() time.Duration { return time.Duration(r.lifetime.Load()) }

// Current returns the keys of the moment.
func (r *Ring) Current() *key.Set { return r.current.Load() }

// StoreKey returns a key for encrypting data at rest for this purpose. It stays
// the same through rotations.
func (r *Ring) StoreKey(purpose string) []byte { return r.storeKey.Derive(purpose) }

// Refresh takes over what other nodes changed and rotates if it is time. After
// an error the keys of before stay. The error matches ErrGone if they are not in
// storage any more.
func (r *Ring) Refresh(ctx context.Context) error {
	if r.storage == nil {
		return nil
	}
	now, read := time.Now(), r.nextRead()
	f, err := r.load(ctx)
	if errors.Is(err, fs.ErrNotExist) || err == nil && r.needsChange(f, now) {
		f, read, err = r.change(ctx, now, r.rotateNow)
	}
	if err != nil {
		return r.named(err)
	}
	return r.take(f, now, read)
}

// nextRead numbers a read of the storage before it begins, or a change when it is
// made: what has a higher number is not older.
func (r *Ring) nextRead() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	return r.reads
}

// take uses the keys of a file, unless those of a later read or change are in use.
func (r *Ring) take(f file, now time.Time, read uint64) error {
	keys, err := f.ring(now)
	if err != nil {
		return r.named(err)
	}
	storeKey, err := key.New(f.Store.Secret)
	if err != nil {
		return r.named(err)
	}
	if r.current.Load() == nil {
		r.storeKey, r.userHashKey = storeKey, storeKey.Derive(userHashUse) // set once, before anybody else sees r
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if read < r.inUse {
		return nil
	}
	r.inUse, r.fileID, r.keys, r.made = read, storeKey.ID(), keys, f.made()
	return r.build()
}

// named says which keys an error is about.
func (r *Ring) named(err error) error {
	return fmt.Errorf("%s in Caddy's storage: %w", r.settings.StorageKey, err)
}

func (r *Ring) lockName() string {
	return strings.NewReplacer("/", "_", ".json", "").Replace(r.settings.StorageKey)
}

func (r *Ring) needsChange(f file, now time.Time) bool {
	_, changed := f.rotate(now, r.settings.Rotation, announce, r.tokenLifetime())
	return changed
}

// rotateNow is the change of Refresh.
func (r *Ring) rotateNow(f file, now time.Time) (file, bool, error) {
	f, changed := f.rotate(now, r.settings.Rotation, announce, r.tokenLifetime())
	return f, changed, nil
}

// newFile returns the keys that were prepared, or makes some.
func (r *Ring) newFile(now time.Time) file {
	if r.prepared != nil {
		return *r.prepared
	}
	return newFile(now)
}

func (r *Ring) load(ctx context.Context) (file, error) {
	data, err := r.storage.Load(ctx, r.settings.StorageKey)
	if err != nil {
		return file{}, err
	}
	return decode(data)
}

// change makes or edits the keys under the storage's lock, after another read:
// another node may have done it meanwhile. It returns the number of the change, or of
// its read if there was nothing to change.
func (r *Ring) change(ctx context.Context, now time.Time, edit func(file, time.Time) (file, bool, error)) (f file, read uint64, err error) {
	if err := r.storage.Lock(ctx, r.lockName()); err != nil {
		return file{}, 0, fmt.Errorf("locking: %w", err)
	}
	defer func() {
		if unlockErr := r.storage.Unlock(ctx, r.lockName()); unlockErr != nil && err == nil {
			err = fmt.Errorf("unlocking: %w", unlockErr)
		}
	}()
	read = r.nextRead()
	f, err = r.load(ctx)
	changed := false
	switch {
	case errors.Is(err, fs.ErrNotExist) && r.prepared == nil && r.current.Load() != nil:
		return file{}, 0, ErrGone
	case errors.Is(err, fs.ErrNotExist):
		f, changed = r.newFile(now), true
	case err != nil:
		return file{}, 0, err
	default:
		if f, changed, err = edit(f, now); err != nil {
			return file{}, 0, err
		}
	}
	if !changed {
		return f, read, nil
	}
	if err := r.storage.Store(ctx, r.settings.StorageKey, f.encode()); err != nil {
		return file{}, 0, fmt.Errorf("writing: %w", err)
	}
	return f, r.nextRead(), nil
}
