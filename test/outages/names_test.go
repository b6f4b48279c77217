// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Names of the tests' own name server, which knows none but says so in different ways.
const (
	unknownName = "unknown.test" // no such name
	brokenName  = "broken.test"  // the server fails
	silentName  = "silent.test"  // no answer
)

// serveNames answers at port 53 until the process ends. use is given the file that names
// the server.
func serveNames(use func(resolvConf string) error) error {
	conn, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		return fmt.Errorf("serve names: %w", err)
	}
	go func() {
		buf := make([]byte, 1232)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer, ok := answerTo(buf[:n]); ok {
				_, _ = conn.WriteTo(answer, from) // who asked may be gone
			}
		}
	}()
	file, err := os.CreateTemp("", "resolv.conf")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // what is mounted stays
	if _, err := file.WriteString("nameserver 127.0.0.1\n"); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return use(file.Name())
}

func answerTo(query []byte) ([]byte, bool) {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil, false
	}
	m.Response, m.RCode, m.Additionals = true, dnsmessage.RCodeNameError, nil
	switch strings.TrimSuffix(m.Questions[0].Name.String(), ".") {
	case silentName:
		return nil, false
	case brokenName:
		m.RCode = dnsmessage.RCodeServerFailure
	}
	answer, err := m.Pack()
	return answer, err == nil
}
