// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// credentials returns credentials in a Secret, with the keys that are the defaults.
func credentials(secret string) *v1alpha1.Credentials {
	return &v1alpha1.Credentials{
		Username: &v1alpha1.UsernameSource{SecretKeyRef: &v1alpha1.KeyReference{Name: secret, Key: v1alpha1.DefaultUsernameKey}},
		Password: from(secret, v1alpha1.DefaultPasswordKey),
	}
}

// transportOf returns the transport settings for a server of a side. dir holds the Secrets.
func transportOf(side *v1alpha1.Side, server *v1alpha1.Server, dir string) (transport.Config, error) {
	root := field.NewPath("spec", "remote")
	resolved, err := resolveServer(side, server, paths{root, root.Child("primary")})
	if err != nil {
		return transport.Config{}, err
	}
	return Transport(&resolved, NewSecrets(dir))
}

func TestTransport_ServerAndSideSettings_ServerOverridesSide(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "side-login/username", "side")
	write(t, dir, "side-login/password", "s")
	write(t, dir, "own-login/username", "own")
	write(t, dir, "own-login/password", "p@ss:word")
	proxy := func(url, login string) *v1alpha1.Proxy {
		return &v1alpha1.Proxy{URL: url, Credentials: credentials(login)}
	}
	side := &v1alpha1.Side{
		TLS:   &v1alpha1.TLS{ALPN: []string{"mqtt"}, ServerName: "side.example"},
		Proxy: proxy("socks5://[::1]:1080", "side-login"),
	}
	cfg, err := transportOf(side, &v1alpha1.Server{URL: "wss://a.example/mqtt?x=1"}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.HostPort != "a.example:443" || !cfg.WebSocket || cfg.Path != "/mqtt?x=1" ||
		cfg.TLS.ServerName != "side.example" || !slices.Equal(cfg.TLS.NextProtos, []string{"mqtt"}) ||
		cfg.Proxy.String() != "socks5://side:s@[::1]:1080" {
		t.Errorf("settings of the side: %+v, TLS %+v", cfg, cfg.TLS)
	}
	own := &v1alpha1.Server{URL: "mqtts://b.example", TLS: &v1alpha1.TLS{ALPN: []string{"x-amzn-mqtt-ca"}}, Proxy: proxy("http://p.example:3128/", "own-login")}
	cfg, err = transportOf(side, own, dir)
	if err != nil {
		t.Fatal(err)
	}
	if password, _ := cfg.Proxy.User.Password(); cfg.TLS.ServerName != "b.example" || cfg.TLS.NextProtos[0] != "x-amzn-mqtt-ca" ||
		cfg.Proxy.Scheme != "http" || cfg.Proxy.Host != "p.example:3128" || cfg.Proxy.User.Username() != "own" || password != "p@ss:word" {
		t.Errorf("settings of the server: %+v, TLS %+v", cfg, cfg.TLS)
	}
	side.Proxy, side.TLS = nil, nil
	cfg, err = transportOf(side, &v1alpha1.Server{URL: "ws://c.example"}, dir)
	if err != nil || cfg.HostPort != "c.example:80" || cfg.TLS != nil || cfg.Proxy != nil || cfg.Path != "" {
		t.Errorf("no settings: %+v, %v", cfg, err)
	}
}

func TestTransport_MissingLoginOfProxy_NamesSecret(t *testing.T) {
	side := &v1alpha1.Side{
		Proxy: &v1alpha1.Proxy{URL: "http://p:1", Credentials: credentials("proxy-login")},
	}
	_, err := transportOf(side, &v1alpha1.Server{URL: "mqtt://h"}, t.TempDir())
	var missing *ReferenceError
	if !errors.As(err, &missing) || missing.Name != "proxy-login" || missing.Key != "username" || missing.Field != "spec.remote.proxy.credentials.username.secretKeyRef" {
		t.Errorf("%v", err)
	}
}

// certificate returns a self-signed certificate for a key, in PEM.
func certificate(t *testing.T, public, private any) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bridge"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", der)
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestKeyPair_AllFormsOfPrivateKeys_Accepted(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	rsaCert, ecCert := certificate(t, rsaKey.Public(), rsaKey), certificate(t, ecKey.Public(), ecKey)
	for name, pair := range map[string][2]string{
		"PKCS #1":                 {rsaCert, encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))},
		"PKCS #8":                 {rsaCert, encode("PRIVATE KEY", pkcs8(t, rsaKey))},
		"SEC 1":                   {ecCert, encode("EC PRIVATE KEY", sec1)},
		"SEC 1 after its curve":   {ecCert, encode("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}) + encode("EC PRIVATE KEY", sec1)},
		"PKCS #8, elliptic curve": {ecCert, encode("PRIVATE KEY", pkcs8(t, ecKey))},
	} {
		t.Run(name, func(t *testing.T) {
			if err := useKeyPair(t, pair[0], pair[1]); err != nil {
				t.Error(err)
			}
		})
	}
}

// clientTLS returns settings with a client certificate and its key in the Secret client.
func clientTLS() *TLS {
	return &TLS{ServerName: "h", Certificate: secretKey("client", "tls.crt", "cert field"), Key: secretKey("client", "tls.key", "key field")}
}

// useKeyPair reads a client certificate and key from a Secret that holds them.
func useKeyPair(t *testing.T, cert, key string) error {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "client/tls.crt", cert)
	write(t, dir, "client/tls.key", key)
	_, err := NewSecrets(dir).tls(clientTLS())
	return err
}

// openssl runs OpenSSL in a directory.
func openssl(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

// shell runs a command in a directory.
func shell(t *testing.T, dir, command string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

func TestKeyPair_EncryptedOrAnotherForm_RefusedWithConversionCommand(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, key.Public(), key)
	dir := t.TempDir()
	write(t, dir, "plain.key", encode("PRIVATE KEY", pkcs8(t, key)))
	write(t, dir, "plain.crt", cert)
	openssl(t, dir, "pkcs8", "-topk8", "-in", "plain.key", "-out", "pkcs8.key", "-passout", "pass:secret")
	openssl(t, dir, "rsa", "-traditional", "-aes128", "-in", "plain.key", "-out", "legacy.key", "-passout", "pass:secret")
	openssl(t, dir, "pkcs12", "-export", "-in", "plain.crt", "-inkey", "plain.key", "-out", "client.p12", "-passout", "pass:secret")
	openssl(t, dir, "pkey", "-in", "plain.key", "-outform", "DER", "-out", "key.der")
	openssl(t, dir, "x509", "-in", "plain.crt", "-outform", "DER", "-out", "cert.der")
	p12 := read(t, filepath.Join(dir, "client.p12"))
	if !bytes.HasPrefix([]byte(read(t, filepath.Join(dir, "legacy.key"))), []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED")) {
		t.Fatal("this version of OpenSSL does not write keys in the traditional form")
	}
	for _, c := range []struct{ name, cert, key, want string }{
		{"PKCS #8", cert, read(t, filepath.Join(dir, "pkcs8.key")), "Secret \"client\", key \"tls.key\" (key field): holds a private key that is encrypted with a password; remove the password with: openssl pkey -in FILE -out tls.key"},
		{"Proc-Type", cert, read(t, filepath.Join(dir, "legacy.key")), "Secret \"client\", key \"tls.key\" (key field): holds a private key that is encrypted with a password; remove the password with: openssl pkey -in FILE -out tls.key"},
		{"PKCS #12 as the key", cert, p12, "Secret \"client\", key \"tls.key\" (key field): holds a PKCS #12 file, not PEM; convert it with: openssl pkcs12 -in FILE -nocerts -nodes -out tls.key"},
		{"PKCS #12 as both", p12, p12, "Secret \"client\", key \"tls.crt\" (cert field): holds a PKCS #12 file, not PEM; convert it with: openssl pkcs12 -in FILE -clcerts -nokeys -out tls.crt"},
		{"PKCS #12 in BER", "\x30\x80\x02\x01\x03\x30\x80", p12, "Secret \"client\", key \"tls.crt\" (cert field): holds a PKCS #12 file, not PEM; convert it with: openssl pkcs12 -in FILE -clcerts -nokeys -out tls.crt"},
		{"key in DER", cert, read(t, filepath.Join(dir, "key.der")), "Secret \"client\", key \"tls.key\" (key field): is in DER form, not PEM; convert it with: openssl pkey -inform DER -in FILE -out tls.key"},
		{"certificate in DER", read(t, filepath.Join(dir, "cert.der")), "", "Secret \"client\", key \"tls.crt\" (cert field): is in DER form, not PEM; convert it with: openssl x509 -inform DER -in FILE -out tls.crt"},
		{"no PEM", cert, "nonsense", "Secret \"client\", key \"tls.crt\" (cert field): tls: failed to find any PEM data in key input; put a certificate into tls.crt and its unencrypted key into tls.key, both in PEM form"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var refused *ReferenceError
			if err := useKeyPair(t, c.cert, c.key); !errors.As(err, &refused) || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	t.Run("the commands work", func(t *testing.T) {
		openssl(t, dir, "pkey", "-in", "pkcs8.key", "-out", "from8.key", "-passin", "pass:secret")
		openssl(t, dir, "pkey", "-in", "legacy.key", "-out", "fromlegacy.key", "-passin", "pass:secret")
		openssl(t, dir, "pkey", "-inform", "DER", "-in", "key.der", "-out", "fromder.key")
		openssl(t, dir, "pkcs12", "-in", "client.p12", "-nocerts", "-nodes", "-out", "from12.key", "-passin", "pass:secret")
		openssl(t, dir, "pkcs12", "-in", "client.p12", "-clcerts", "-nokeys", "-out", "from12.crt", "-passin", "pass:secret")
		for _, name := range []string{"from8.key", "fromlegacy.key", "fromder.key", "from12.key"} {
			if err := useKeyPair(t, read(t, filepath.Join(dir, "from12.crt")), read(t, filepath.Join(dir, name))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
