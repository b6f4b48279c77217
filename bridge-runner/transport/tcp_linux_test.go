// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"fmt"
	"io"
	"net"
	"testing"
)

// A local port that is bound before connecting belongs to one connection of the machine, and for a minute to
// a connection that has ended. The system then searches the 28,232 ports one by one, and a runner with 1,000
// bridges that connects repeatedly exhausts them. A port that the system chooses when it connects is shared by
// connections to different addresses. With 1,000 addresses, the probability that none shares a port is 10^-15.
func TestDial_ManyAddresses_ShareLocalPorts(t *testing.T) {
	server := listen(t, "0.0.0.0:0", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	used := map[string]int{}
	for i := range 1000 {
		c := dial(t, Config{HostPort: fmt.Sprintf("127.0.%d.%d:%s", 100+i/250, 1+i%250, port(t, server))})
		used[c.LocalAddr().String()]++
	}
	if len(used) == 1000 {
		t.Error("each connection has a local port of its own")
	}
}
