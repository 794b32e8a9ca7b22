// Package browser judges the requests of browsers: whether one loads a page,
// which of WeChat's ways in fits it, where it may be sent, what its cookies say.
// It knows requests and texts, and neither sessions nor servers.
package browser
