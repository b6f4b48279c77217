// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// requests are numbers of requests by verb and resource, such as "patch mqttbridges/status".
type requests map[string]int

// count returns the number of requests that the filter accepts.
func (r requests) count(accept func(verb, resource string) bool) int {
	n := 0
	for key, times := range r {
		if verb, resource, _ := strings.Cut(key, " "); accept(verb, resource) {
			n += times
		}
	}
	return n
}

func (r requests) total() int { return r.count(func(string, string) bool { return true }) }

// writes returns the number of writes, without events.
func (r requests) writes() int {
	return r.count(func(verb, resource string) bool {
		return resource != "events" && (verb == "create" || verb == "update" || verb == "patch" || verb == "delete")
	})
}

func (r requests) statusWrites() int {
	return r.count(func(_, resource string) bool { return resource == "mqttbridges/status" })
}

func (r requests) events() int {
	return r.count(func(_, resource string) bool { return resource == "events" })
}

// auditLog reads the audit log of the API server.
type auditLog struct {
	file string
	read int64 // the bytes that were read so far
}

// auditEvent is the part of an audit event that the command needs.
type auditEvent struct {
	Verb      string `json:"verb"`
	ObjectRef struct {
		Namespace   string `json:"namespace"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
}

// next returns the requests since the last call, except the requests that do not depend on
// bridges: discovery, the Lease and the events of the leader, the namespace that identifies the
// cluster, the checks of the rights of clients of the metrics, and the starts of watches.
func (a *auditLog) next() (requests, error) {
	f, err := os.Open(a.file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	if _, err := f.Seek(a.read, io.SeekStart); err != nil {
		return nil, err
	}
	out := requests{}
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return out, nil //nolint:nilerr // the end of the file; an incomplete line is read next time
		}
		a.read += int64(len(line))
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		switch e.ObjectRef.Resource {
		case "", "leases", "namespaces", "tokenreviews", "subjectaccessreviews":
			continue
		}
		if e.Verb == "watch" || e.ObjectRef.Namespace == systemNamespace {
			continue
		}
		resource := e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			resource += "/" + e.ObjectRef.Subresource
		}
		out[e.Verb+" "+resource]++
	}
}
