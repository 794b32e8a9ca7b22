ActiveRecord::Schema.define do
  create_table :users do |t|
    t.string :wechat_appid, null: false
    t.string :wechat_openid, null: false
    t.index [:wechat_appid, :wechat_openid], unique: true
  end
end
