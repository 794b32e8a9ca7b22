//go:build unix

package operate

import (
	"os"
	"syscall"
)

// ownedByOther reports whether this is root in another user's folder: what root
// writes there, the owner cannot read. Anybody else finds out by trying.
func ownedByOther(folder string) bool {
	info, err := os.Stat(folder)
	if err != nil || os.Geteuid() != 0 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid != 0
}
