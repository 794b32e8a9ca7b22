require_relative "application"
Rails.application.initialize!
ActiveRecord::Schema.verbose = false
load Rails.root.join("db/schema.rb")
