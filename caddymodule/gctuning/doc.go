// Package gctuning sets how much garbage this process lets grow before it collects,
// while a gateway runs in it. A configuration that is only examined changes nothing.
package gctuning
