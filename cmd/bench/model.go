package main

// What docs/scale.md computes with; -nodes counts the same.
const (
	modelLogin = 13 // commands of Redis: claim of the code, record, index of the app, reply
	modelCold  = 5  // in one round trip: GET with CLIENT CACHING and PTTL in a transaction
)
