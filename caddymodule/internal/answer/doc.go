// Package answer is what the gateway itself answers with: one table from errors to
// status, code and sentence, and the JSON that carries them.
package answer
