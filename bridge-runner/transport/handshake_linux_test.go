// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkHandshake measures the CPU time of a full or resumed TLS handshake with certificates on
// both ends: for the client, as in a bridge, and for a server that uses crypto/tls.
func BenchmarkHandshake(b *testing.B) {
	for _, key := range []struct {
		name     string
		generate func() (crypto.Signer, error)
	}{
		{"RSA-2048", func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }},
		{"P-256", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
	} {
		client, server := mutualTLS(b, key.generate)
		for name, version := range versions {
			for _, kind := range []string{"full", "resumed"} {
				b.Run("key="+key.name+"/version="+name[len("TLS "):]+"/kind="+kind, func(b *testing.B) {
					settings := server.Clone()
					settings.MaxVersion = version
					benchmarkHandshake(b, client, settings, kind == "resumed")
				})
			}
		}
	}
}

func benchmarkHandshake(b *testing.B, client, server *tls.Config, resume bool) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	spent := make(chan time.Duration)
	go func() {
		runtime.LockOSThread()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			start := threadTime()
			secure := tls.Server(c, server)
			if _, err = secure.Read(make([]byte, 1)); err == nil {
				_, err = secure.Write([]byte{1})
			}
			used := threadTime() - start
			if err != nil {
				used = 0 // the client reports the failure
			}
			_ = secure.Close()
			spent <- used
		}
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var sessions TLSSessions
	var mine, its time.Duration
	once := func(want bool) {
		tcp, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		start := threadTime()
		secure, err := sessions.handshake(b.Context(), client, sessions.newCache(client), tcp)
		if err != nil {
			b.Fatal(err)
		}
		if _, err = secure.Write([]byte{1}); err == nil {
			_, err = io.ReadFull(secure, make([]byte, 1)) // reads the tickets, too
		}
		if err != nil {
			b.Fatal(err)
		}
		mine += threadTime() - start
		its += <-spent
		if _, got := secure.(*resumedConn); got != want {
			b.Fatalf("resumed: %t", got)
		}
		_ = secure.Close()
	}
	once(false)
	mine, its = 0, 0
	for b.Loop() {
		if !resume {
			sessions = TLSSessions{}
		}
		once(resume)
	}
	b.ReportMetric(float64(mine.Microseconds())/float64(b.N), "client-us/op")
	b.ReportMetric(float64(its.Microseconds())/float64(b.N), "server-us/op")
}

// threadTime returns the CPU time that this thread has used.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// mutualTLS returns the settings of a client and a server with certificates of the same authority.
func mutualTLS(b *testing.B, generate func() (crypto.Signer, error)) (client, server *tls.Config) {
	b.Helper()
	issue := func(serial int64, authority *tls.Certificate) tls.Certificate {
		key, err := generate()
		if err != nil {
			b.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			BasicConstraintsValid: true, IsCA: authority == nil,
		}
		signed := tls.Certificate{Leaf: template, PrivateKey: key}
		if authority == nil {
			authority = &signed
		}
		der, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, key.Public(), authority.PrivateKey)
		if err != nil {
			b.Fatal(err)
		}
		if signed.Leaf, err = x509.ParseCertificate(der); err != nil {
			b.Fatal(err)
		}
		signed.Certificate = [][]byte{der}
		return signed
	}
	authority := issue(1, nil)
	trusted := x509.NewCertPool()
	trusted.AddCert(authority.Leaf)
	both := tls.Config{ServerName: "localhost", RootCAs: trusted, ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	client, server = both.Clone(), both.Clone()
	client.Certificates = []tls.Certificate{issue(2, &authority)}
	server.Certificates = []tls.Certificate{issue(3, &authority)}
	return client, server
}
