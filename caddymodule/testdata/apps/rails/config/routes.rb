Rails.application.routes.draw do
  get "/api/me", to: "users#me"
end
