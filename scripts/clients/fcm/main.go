// Command fcm sends messages through Google's own generated client, google.golang.org/api/fcm/v1. Send requests flow in
// as JSON lines on stdin; what the client reports of each flows out as a JSON line. It trusts the authorities of
// SSL_CERT_FILE, since the client authenticates only over a transport of its own making.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"golang.org/x/oauth2"
	"google.golang.org/api/fcm/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

// answer is what the client reports.
type answer struct {
	Status     int    `json:"status"`
	Name       string `json:"name,omitempty"`
	Message    string `json:"message,omitempty"`
	RetryAfter string `json:"retry_after,omitempty"`
	Details    []any  `json:"details,omitempty"`
	Error      string `json:"error,omitempty"` // anything but an answer
}

func main() {
	endpoint := flag.String("endpoint", "", "base address of the service")
	project := flag.String("project", "", "Firebase project")
	account := flag.String("service-account", "", "JSON file of the service account")
	token := flag.String("access-token", "", "access token to send in place of one of the account")
	flag.Parse()
	if err := run(context.Background(), os.Stdin, os.Stdout, *endpoint, *project, *account, *token); err != nil {
		fmt.Fprintln(os.Stderr, "fcm:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, in io.Reader, out io.Writer, endpoint, project, account, token string) error {
	credential := option.WithAuthCredentialsFile(option.ServiceAccount, account)
	if token != "" {
		credential = option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}))
	}
	service, err := fcm.NewService(ctx, option.WithEndpoint(endpoint), credential)
	if err != nil {
		return err
	}
	requests, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var request fcm.SendMessageRequest
		switch err := requests.Decode(&request); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		sent, err := service.Projects.Messages.Send("projects/"+project, &request).Context(ctx).Do()
		if err := answers.Encode(report(sent, err)); err != nil {
			return err
		}
	}
}

func report(sent *fcm.Message, err error) answer {
	var refused *googleapi.Error
	switch {
	case err == nil:
		return answer{Status: sent.HTTPStatusCode, Name: sent.Name}
	case errors.As(err, &refused):
		return answer{Status: refused.Code, Message: refused.Message, RetryAfter: refused.Header.Get("Retry-After"), Details: refused.Details}
	default:
		return answer{Error: err.Error()}
	}
}
