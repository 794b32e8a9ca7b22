package main

import (
	"fmt"
	"io"
	"math"
)

// What docs/scale.md computes with. Costs are measured: -nodes, -redis, -login and
// the comparison; the rest is how people use a Mini Program that is opened often.
const (
	modelLogin = 13 // commands of Redis: claim of the code, record, index of the app, reply
	modelCold  = 5  // in one round trip: GET with CLIENT CACHING and PTTL in a transaction

	modelSessionBytes  = 640.0 // of Redis, for a user with one session
	modelIndexBytes    = 290.0 // of them in the index of the app, which is in one slot
	modelRequestCPU    = 100e-6
	modelLoginCPU      = 400e-6 // through Redis
	modelRedisCommands = 80_000.0
	modelShardBytes    = 12e9 // of data; as much again is for copies and buffers
	modelNodeCores     = 4.0
	modelBusy          = 0.6 // of the cores, at the peak

	modelActive    = 0.3  // of the users, on a day
	modelPeakShare = 0.1  // of the day, in its busiest hour
	modelVisits    = 3.0  // a day, of an active user; each begins with a login
	modelRequests  = 20.0 // a visit
	modelPushed    = 0.05 // of all users open the app after a push,
	modelPushTime  = 300.0
)

// need is what so many users need.
type need struct {
	users                                         float64
	requests, logins, pushLogins                  float64 // a second
	nodes, shards                                 float64
	redisBytes, indexBytes                        float64
	holders, messages, cachedCommands, noCommands float64
}

// needs computes what users need at the peak, with requests spread over all nodes.
func needs(users float64) need {
	n := need{users: users}
	visits := users * modelActive * modelVisits * modelPeakShare / 3600
	n.logins, n.requests = visits, visits*modelRequests
	n.pushLogins = users * modelPushed / modelPushTime
	// The wave after a push comes on top of the peak.
	cores := ((n.logins+n.pushLogins)*modelLoginCPU + (n.requests+n.pushLogins*modelRequests)*modelRequestCPU) / modelBusy
	n.nodes = math.Ceil(cores/modelNodeCores) + 1 // one may be away
	n.redisBytes, n.indexBytes = users*modelSessionBytes, users*modelIndexBytes
	n.holders = holders(n.nodes, modelRequests)
	n.messages = n.logins * n.holders
	n.cachedCommands = modelCold * n.holders
	n.noCommands = modelRequests
	commands := (n.logins + n.pushLogins) * (modelLogin + min(n.cachedCommands, n.noCommands))
	n.shards = max(1, math.Ceil(max(commands/modelRedisCommands, n.redisBytes/modelShardBytes)))
	return n
}

// holders is how many nodes come to hold a record when requests go to any.
func holders(nodes, requests float64) float64 {
	return nodes * (1 - math.Pow(1-1/nodes, requests))
}

// printModel prints the table of docs/scale.md.
func printModel(w io.Writer) {
	_, _ = fmt.Fprintln(w, "| Users | Requests/s at the peak | Logins/s, usual and after a push | Nodes of 4 cores | Redis for sessions | of that one app's index | Masters | Nodes that hold a record | Messages/s | Commands a visit, with client-side caching and without |\n|---|---|---|---|---|---|---|---|---|---|")
	for _, users := range []float64{1e5, 1e7, 1e8} {
		n := needs(users)
		_, _ = fmt.Fprintf(w, "| 10^%.0f | %.0f | %.0f + %.0f | %.0f | %.2g GB | %.2g GB | %.0f | %.1f | %.0f | %.0f, %.0f |\n", math.Log10(users), n.requests, n.logins, n.pushLogins,
			n.nodes, n.redisBytes/1e9, n.indexBytes/1e9, n.shards, n.holders, n.messages, n.cachedCommands, n.noCommands)
	}
}
