// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"net"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
)

// peerOptions are the arguments for two runners on two machines without Kubernetes.
type peerOptions struct {
	// address is the address of the other machine. If it is empty, there is no other machine, and
	// the other fields are not used.
	address, listen string
	// key and trusted are files.
	key, trusted string
	preferred    bool
	timeout      time.Duration
}

// set reports whether there is another machine.
func (o *peerOptions) set() bool { return o.address != "" }

func (o *peerOptions) define(flags *flag.FlagSet) {
	flags.StringVar(&o.address, "peer", "", "the `ADDRESS` (host:port) of --peer-listen on the other machine; two runners with --peer serve the same bridges: one forwards, and the other takes over if its process ends (docs/two-runners.md); use an IP address, or a name that always resolves to that machine")
	flags.StringVar(&o.listen, "peer-listen", "", "the `ADDRESS` (host:port) on which the runner accepts the other machine; required with --peer")
	flags.StringVar(&o.key, "peer-key", "", "the `FILE` with the key pair of this machine; \"bridge-runner peer-key DIR\" makes it; required with --peer")
	flags.StringVar(&o.trusted, "peer-trusted", "", "the `FILE` with the public key of the other machine; required with --peer")
	flags.BoolVar(&o.preferred, "peer-preferred", false, "with --peer, forward if both machines start at the same time; set it on one of the two machines")
	flags.DurationVar(&o.timeout, "peer-timeout", 0, "with --peer, the `TIME` after which the runner forwards if the other machine does not answer; without --peer-preferred, it is twice this time; at least 3s; set the same value on both machines (default: the runner waits, because the other machine may be forwarding)")
}

// problem returns the reason why the arguments are invalid. It is empty if they are valid.
func (o *peerOptions) problem(kubernetes bool) string {
	if !o.set() {
		if o.listen != "" || o.key != "" || o.trusted != "" || o.preferred || o.timeout != 0 {
			return "--peer-listen, --peer-key, --peer-trusted, --peer-preferred and --peer-timeout require --peer"
		}
		return ""
	}
	for _, required := range []struct{ name, value string }{{"--peer-listen", o.listen}, {"--peer-key", o.key}, {"--peer-trusted", o.trusted}} {
		if required.value == "" {
			return required.name + " is required with --peer"
		}
	}
	if _, _, err := net.SplitHostPort(o.address); err != nil {
		return fmt.Sprintf("--peer %s: %v; write host:port", o.address, err)
	}
	switch {
	case kubernetes:
		return "--peer and --kubernetes exclude each other; --peer is for two machines without Kubernetes"
	case o.timeout != 0 && o.timeout < member.Duration:
		return fmt.Sprintf("--peer-timeout %s is too short; set it to 0 or to at least %s, because a slow connection must not look like a lost machine", o.timeout, member.Duration)
	}
	return ""
}
