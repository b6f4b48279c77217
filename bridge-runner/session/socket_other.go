// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package session

import "net"

// raw is for Linux only.
type raw struct{ idle func() bool }

func newRaw(net.Conn) *raw { return nil }

func (*raw) read([]byte) (int, error) { return 0, net.ErrClosed }

func (*raw) write([]byte) (int, error) { return 0, net.ErrClosed }
