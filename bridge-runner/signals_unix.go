// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// handleSignals hands over on SIGUSR1, and takes over on SIGUSR2, until the context ends. The roles are
// not changed by HTTP requests, because everyone who reaches the port could send them.
func (g *group) handleSignals(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGUSR1 {
					g.requestHandOver()
					continue
				}
				g.log.Info("SIGUSR2 makes this runner active, unless it has a Lease, which decides")
				g.member.TakeOver()
			case <-ctx.Done():
				return
			}
		}
	}()
}
