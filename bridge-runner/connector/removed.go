// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import "slices"

// maxRemoved is the largest number of removed servers that a connector remembers: the largest
// number of servers of a side.
const maxRemoved = 16

// removedServers are the servers that changes have removed from the list, oldest first. Their
// sessions remain on the servers. If a later change adds such a server again, the connector
// continues the session: otherwise it would forward messages again that the server sends again, and
// would not end subscriptions that are no longer wanted.
type removedServers []removedServer

type removedServer struct {
	server Server
	state  *serverState
}

// add remembers a removed server.
func (r *removedServers) add(server Server, state *serverState) {
	state = state.withoutHistory()
	state.stale = state.stale || state.mayHoldMessages()
	*r = append(*r, removedServer{server, state})
	if n := len(*r) - maxRemoved; n > 0 {
		*r = (*r)[n:]
	}
}

// take returns the state of a server that is added: the state that it had when it was removed, or
// a new one.
func (r *removedServers) take(server *Server) *serverState {
	i := slices.IndexFunc(*r, func(e removedServer) bool { return e.server.same(*server) })
	if i < 0 {
		i = slices.IndexFunc(*r, func(e removedServer) bool { return e.server.renamed(server) })
	}
	if i < 0 {
		return newServerState()
	}
	state := (*r)[i].state
	*r = slices.Delete(*r, i, i+1)
	return state
}
