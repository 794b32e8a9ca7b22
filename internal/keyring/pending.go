package keyring

import (
	"slices"
	"sync"
)

// Pending are keys that were dropped here while not all nodes were told: their drop
// has begun and can be tried again until it is done. It is for the whole process.
type Pending struct {
	mu  sync.Mutex
	ids []string
}

// Add remembers a drop that has begun.
func (p *Pending) Add(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.ids, id) {
		p.ids = append(p.ids, id)
	}
}

// Remove forgets a drop that is done.
func (p *Pending) Remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids = slices.DeleteFunc(p.ids, func(other string) bool { return other == id })
}

// Has reports whether the drop of a key has begun and is not done.
func (p *Pending) Has(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.ids, id)
}

// List returns all of them.
func (p *Pending) List() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.ids)
}
