package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// secured makes the certificate of the proxies that speak TLS, and the lines that
// name it in their sites.
func (b *bench) secured() (lines string, err error) {
	cert, private := filepath.Join(b.dir, "cert.pem"), filepath.Join(b.dir, "key.pem")
	lines = "\ttls " + cert + " " + private + "\n"
	if b.roots != nil {
		return lines, nil
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("making key of certificate: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{benchHost}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &signer.PublicKey, signer)
	if err != nil {
		return "", fmt.Errorf("making certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return "", fmt.Errorf("writing key of certificate: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := errors.Join(os.WriteFile(cert, text, 0o600),
		os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)); err != nil {
		return "", err
	}
	b.roots = x509.NewCertPool()
	b.roots.AppendCertsFromPEM(text)
	return lines, nil
}

// dial opens n connections to the proxies of a variant, to each in turn.
func (b *bench) dial(v *variant, n int) (*client, error) {
	c := new(client)
	nodes := append([]*process{v.proxy}, v.nodes...)
	for i := range n {
		s, err := b.dialOne(nodes[i%len(nodes)].addr, v.front)
		if err != nil {
			c.close()
			return nil, fmt.Errorf("connecting: %w", err)
		}
		c.conns = append(c.conns, s)
	}
	return c, nil
}

func (b *bench) dialOne(addr string, how front) (sender, error) {
	config := &tls.Config{RootCAs: b.roots, ServerName: benchHost, MinVersion: tls.VersionTLS13}
	switch how {
	case https:
		config.NextProtos = []string{"http/1.1"}
		conn, err := (&tls.Dialer{Config: config}).DialContext(b.ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return newConnection(conn), nil
	case http2:
		return &stream{addr: addr, ctx: b.ctx, transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableCompression: true}}, nil
	default:
		return dialPlain(b.ctx, addr)
	}
}

// stream is an HTTP/2 connection of its own, with one request at a time.
type stream struct {
	addr      string
	ctx       context.Context
	transport *http.Transport
	body      []byte
}

func (s *stream) do(c call, body []byte) error {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.raw)))
	if err != nil {
		return fmt.Errorf("reading own request: %w", err)
	}
	req.RequestURI, req.URL.Scheme, req.URL.Host = "", "https", s.addr
	resp, err := s.transport.RoundTrip(req.WithContext(s.ctx))
	if err != nil {
		return fmt.Errorf("sending request: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if s.body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20)); err != nil {
		return fmt.Errorf("reading body: %w", err)
	}
	switch {
	case resp.ProtoMajor != 2:
		return fmt.Errorf("%w: %s instead of HTTP/2", errAnswer, resp.Proto)
	case resp.StatusCode != c.status:
		return fmt.Errorf("%w: %d, want %d", errStatus, resp.StatusCode, c.status)
	case body != nil && !bytes.Equal(s.body, body):
		return fmt.Errorf("%w: %d bytes", errBody, len(s.body))
	}
	return nil
}

func (s *stream) answered() []byte   { return s.body }
func (s *stream) deadline(time.Time) {}
func (s *stream) close()             { s.transport.CloseIdleConnections() }
