package web

import (
	"context"
	"net/http"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Users is the answer of GET /api/v1/users.
type Users struct {
	Users []holdfast.User `json:"users" doc:"by name"`
}

// UserRequest is the body of POST /api/v1/users.
type UserRequest struct {
	Name     string        `json:"name" maxLength:"200" doc:"lower-case letters, digits and . _ @ + -"`
	Role     holdfast.Role `json:"role"`
	Password string        `json:"password" maxLength:"4096" doc:"at least 12 characters"`
}

// Tokens is the answer of GET /api/v1/tokens.
type Tokens struct {
	Tokens []holdfast.Token `json:"tokens" doc:"by name"`
}

// TokenRequest is the body of POST /api/v1/tokens.
type TokenRequest struct {
	Name string            `json:"name" maxLength:"200" doc:"whom it is for"`
	Role holdfast.Role     `json:"role"`
	Life holdfast.Duration `json:"life,omitempty" doc:"how long it lasts; nothing: until it is revoked"`
}

// NewToken is the answer of POST /api/v1/tokens.
type NewToken struct {
	holdfast.Token
	Secret string `json:"secret" doc:"what a program sends: Authorization: Bearer SECRET. It is shown here and never again."`
}

// Badges is the answer of GET /api/v1/badges.
type Badges struct {
	Badges []holdfast.Badge `json:"badges" doc:"by service"`
}

// BadgeRequest is the body of POST /api/v1/badges.
type BadgeRequest struct {
	Service string `json:"service" maxLength:"256"`
}

// NewBadge is the answer of POST /api/v1/badges.
type NewBadge struct {
	holdfast.Badge
	URL string `json:"url" doc:"address of the picture; whoever has it sees state and score. It is shown here and never again."`
}

// UserName is a user in a path.
type UserName struct {
	Name string `path:"name" maxLength:"200" example:"bob" doc:"as the list names the user"`
}

func (s *server) addAccessAPI(a *api) {
	const tag = "Access"
	may := holdfast.Role.MayAdminister
	role := holdfast.Manager
	register(a, operation{Route: "GET /users", ID: "list-users", Tag: tag, May: may,
		Summary: "The users whose passwords are kept here", Description: "Who logs in with OpenID Connect or a one-time link is none of them."}, s.apiUsers)
	register(a, operation{Route: "POST /users", ID: "add-user", Tag: tag, May: may, Status: http.StatusCreated,
		Summary: "Add a user", Example: UserRequest{"carla", holdfast.Operator, "a few words in a row"}}, s.apiAddUser)
	register(a, operation{Route: "PATCH /users/{name}", ID: "change-user", Tag: tag, May: may,
		Summary:     "Change a user's role or password, disable or enable a user",
		Description: "A new password and disabling end every session of the user at once; a new role holds from the next request on. One's own user is changed by another admin.",
		Example:     holdfast.UserChange{Role: &role}}, s.apiChangeUser)
	register(a, operation{Route: "DELETE /users/{name}", ID: "remove-user", Tag: tag, May: may,
		Summary: "Remove a user and end every session of the user"}, s.apiRemoveUser)
	register(a, operation{Route: "GET /tokens", ID: "list-tokens", Tag: tag, May: may,
		Summary: "The tokens of programs", Description: "What a program sends is not kept and not shown."}, s.apiTokens)
	register(a, operation{Route: "POST /tokens", ID: "add-token", Tag: tag, May: may, Status: http.StatusCreated,
		Summary: "Make a token", Example: TokenRequest{"grafana", holdfast.Viewer, 90 * holdfast.Day}}, s.apiAddToken)
	register(a, operation{Route: "DELETE /tokens/{id}", ID: "revoke-token", Tag: tag, May: may,
		Summary: "Revoke a token"}, s.apiRevokeToken)
	register(a, operation{Route: "GET /badges", ID: "list-badges", Tag: tag, May: may,
		Summary: "The badges there are"}, s.apiBadges)
	register(a, operation{Route: "POST /badges", ID: "add-badge", Tag: tag, May: may, Status: http.StatusCreated,
		Summary:     "Make a badge of a service",
		Description: "A picture of the service's state and score that everybody who has its address may see, without login.",
		Example:     BadgeRequest{"payments"}}, s.apiAddBadge)
	register(a, operation{Route: "DELETE /badges/{id}", ID: "revoke-badge", Tag: tag, May: may,
		Summary: "Revoke a badge"}, s.apiRevokeBadge)
}

func (s *server) apiUsers(ctx context.Context, _ *struct{}) (*answer[Users], error) {
	list, err := s.c.Users(ctx)
	return &answer[Users]{Users{list}}, err
}

func (s *server) apiAddUser(ctx context.Context, in *answer[UserRequest]) (*answer[holdfast.User], error) {
	u, err := s.c.AddUser(ctx, in.Body.Name, in.Body.Role, in.Body.Password)
	if err != nil {
		return nil, accessProblem("user", "body.name", err)
	}
	s.noteAccess(ctx, "user added", "user", u.Name, "role", u.Role)
	return &answer[holdfast.User]{u}, nil
}

func (s *server) apiChangeUser(ctx context.Context, in *struct {
	UserName
	Body holdfast.UserChange
}) (*answer[holdfast.User], error) {
	u, err := s.changeUser(ctx, in.Name, in.Body)
	if err != nil {
		return nil, accessProblem("user", "path.name", err)
	}
	return &answer[holdfast.User]{u}, nil
}

func (s *server) apiRemoveUser(ctx context.Context, in *UserName) (*struct{}, error) {
	if err := s.removeUser(ctx, in.Name); err != nil {
		return nil, accessProblem("user", "path.name", err)
	}
	return nil, nil
}

func (s *server) apiTokens(ctx context.Context, _ *struct{}) (*answer[Tokens], error) {
	list, err := s.c.Tokens(ctx)
	return &answer[Tokens]{Tokens{list}}, err
}

func (s *server) apiAddToken(ctx context.Context, in *answer[TokenRequest]) (*answer[NewToken], error) {
	secret, t, err := s.addToken(ctx, holdfast.Who{Name: in.Body.Name, Role: in.Body.Role}, in.Body.Life)
	if err != nil {
		return nil, accessProblem("token", "body", err)
	}
	return &answer[NewToken]{NewToken{t, secret}}, nil
}

func (s *server) apiRevokeToken(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"64" example:"00aa11bb22cc33dd" doc:"as the list names it"`
}) (*struct{}, error) {
	if err := s.revokeToken(ctx, in.ID); err != nil {
		return nil, accessProblem("token", "path.id", err)
	}
	return nil, nil
}

func (s *server) apiBadges(ctx context.Context, _ *struct{}) (*answer[Badges], error) {
	list, err := s.c.Badges(ctx)
	return &answer[Badges]{Badges{list}}, err
}

func (s *server) apiAddBadge(ctx context.Context, in *answer[BadgeRequest]) (*answer[NewBadge], error) {
	address, b, err := s.addBadge(ctx, in.Body.Service)
	if err != nil {
		return nil, accessProblem("badge", "body.service", err)
	}
	return &answer[NewBadge]{NewBadge{b, address}}, nil
}

func (s *server) apiRevokeBadge(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"64" example:"44aa11bb22cc33dd" doc:"as the list names it"`
}) (*struct{}, error) {
	if err := s.revokeBadge(ctx, in.ID); err != nil {
		return nil, accessProblem("badge", "path.id", err)
	}
	return nil, nil
}
