package main

import (
	"os"
	"testing"

	webhook "github.com/cert-manager/cert-manager/test/webhook"
)

// TestServeWebhook serves cert-manager's admission webhook until the process is ended. The webhook's own packages are internal to
// its module, and what that module offers to others needs a *testing.T; so the program is a test binary.
//
// WEBHOOK_KUBECONFIG, WEBHOOK_CERTIFICATE and WEBHOOK_KEY name its files. Once it serves, its URL is in the file WEBHOOK_URL_FILE.
func TestServeWebhook(t *testing.T) {
	options, stop := webhook.StartWebhookServer(t, []string{
		"--kubeconfig=" + os.Getenv("WEBHOOK_KUBECONFIG"),
		"--tls-cert-file=" + os.Getenv("WEBHOOK_CERTIFICATE"),
		"--tls-private-key-file=" + os.Getenv("WEBHOOK_KEY"),
	})
	defer stop()

	// Written under another name first, so that the reader never finds half a URL.
	file := os.Getenv("WEBHOOK_URL_FILE")
	if err := os.WriteFile(file+".new", []byte(options.URL), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	<-t.Context().Done()
}
