// Package layout reads the servers of a configuration and follows requests through
// their routes, without sending any.
package layout
