// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"time"
)

// groupOptions are the arguments for two runners in a cluster.
type groupOptions struct {
	// name is the name of the Lease. If it is empty, there is no group, and the other fields are not used.
	name, listen string
	duration     time.Duration
}

// The range of --lease-duration.
const (
	shortestLease = 3 * time.Second
	longestLease  = time.Minute
	defaultLease  = 15 * time.Second
)

// set reports whether the process is a member of a group with a Lease.
func (o *groupOptions) set() bool { return o.name != "" }

func (o *groupOptions) define(flags *flag.FlagSet) {
	flags.StringVar(&o.name, "group", "", "with --kubernetes, the `NAME` of the Lease of a group of runners that serve the same bridge: one forwards, and another one takes over if it ends (docs/two-runners.md); the environment variable POD_IP holds the address of the pod")
	flags.StringVar(&o.listen, "group-listen", ":8091", "with --group, the `ADDRESS` (host:port) on which the runner accepts the other members of the group")
	flags.DurationVar(&o.duration, "lease-duration", defaultLease, "with --group, the `TIME` for which the Lease is valid without a renewal, in whole seconds; 3s to 60s")
}

// problem returns the reason why the arguments are invalid. It is empty if they are valid.
func (o *groupOptions) problem(opts *options) string {
	switch {
	case !o.set():
		return ""
	case !opts.kubernetes:
		return "--group requires --kubernetes; without Kubernetes, use --peer"
	case o.duration < shortestLease || o.duration > longestLease || o.duration%time.Second != 0:
		return fmt.Sprintf("--lease-duration %s is not possible; set it to whole seconds from %s to %s", o.duration, shortestLease, longestLease)
	}
	return ""
}
